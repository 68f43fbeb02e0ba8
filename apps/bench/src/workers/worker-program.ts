// A process that works on the runs of a store: node worker-program.ts <location>, forked with a channel for messages.
import { openStore, type StoreLocation } from '../sites/store-location.ts'
import type { FromWorker, ToWorker } from './worker-process.ts'
import { ownWorkplace } from './workplace.ts'

const store = await openStore(JSON.parse(process.argv[2] ?? '') as StoreLocation)
const workplace = ownWorkplace(store)
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
