// A program that tests start as a process: subscribes, says so, and has nothing else to do.
import pg from 'pg'
import { postgresStore } from '../postgres-store.ts'

const [url = '', schema = '', own = ''] = process.argv.slice(2)
const pool = new pg.Pool({ connectionString: url, max: 3, idleTimeoutMillis: 1 })
pool.on('error', () => undefined)
const store = await postgresStore({ pool }, { schema, notifications: own === 'own' ? { url } : true })
// Until the connection is up, something else has to keep the process alive.
const alive = setInterval(() => undefined, 1000)
await new Promise((isUp) => store.notifications?.subscribe(isUp))
clearInterval(alive)
process.stdout.write('listening')
