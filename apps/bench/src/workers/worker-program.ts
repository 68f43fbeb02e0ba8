// A process that works on runs: node worker-program.ts <location> <varve or plain>, forked with a channel for messages.
import { plainWorkplace } from '../plain/plain-workplace.ts'
import { postgresDatabase } from '../plain/postgres-database.ts'
import { openStore, type StoreLocation } from '../sites/store-location.ts'
import type { FromWorker, ToWorker } from './worker-process.ts'
import { ownWorkplace, type Workplace } from './workplace.ts'

const workplace = await workplaceAt(JSON.parse(process.argv[2] ?? '') as StoreLocation, process.argv[3])
workplace.listen({
  entered: (at) => {
    tell({ told: 'entered', at })
  },
  ended: (at) => {
    tell({ told: 'ended', at })
  },
})
process.on('message', (order: ToWorker) => void obey(order))
// The parent has closed the channel, or is gone: nobody wants to know any more.
process.once('disconnect', () => process.exit())
tell({ told: 'ready' })

async function obey(order: ToWorker): Promise<void> {
  if (order === 'begin') {
    await workplace.begin()
    tell({ told: 'began' })
  } else tell({ told: 'rests', calls: await workplace.rest() })
}

function tell(message: FromWorker): void {
  process.send?.(message)
}

async function workplaceAt(location: StoreLocation, kind: string | undefined): Promise<Workplace> {
  if (kind === 'varve') return ownWorkplace(await openStore(location))
  if (location.kind !== 'postgres') throw new Error('a plain program hears of others on Postgres alone')
  return plainWorkplace(await postgresDatabase(location.url, location.schema))
}
