// A process that measures the programs of one workload on one store, as it is told by messages:
// node program-host.ts <workload> <store> <amounts as JSON>
import { openSite } from '../sites/open-site.ts'
import type { SiteName } from '../sites/site.ts'
import { storeWorkload, type StoreWorkloadName } from '../workloads/workloads.ts'
import type { FromHost, ToHost } from './hosted-programs.ts'
import type { Amounts } from './program.ts'

const [workload, name, amounts] = process.argv.slice(2) as [StoreWorkloadName, SiteName, string]
const site = await openSite(name)
const { programs, close } = await storeWorkload(workload).prepare(site, JSON.parse(amounts) as Amounts)
process.on('message', (order: ToHost) => void obey(order))
// The parent has closed the channel, or is gone.
process.once('disconnect', () => void leave())
tell({ told: 'ready', programs: programs.map((program) => program.name) })

async function obey({ measure }: ToHost): Promise<void> {
  try {
    tell({ told: 'measured', figures: (await programs[measure]?.measure()) ?? {} })
  } catch (error) {
    tell({ told: 'failed', message: (error as Error).message })
  }
}

async function leave(): Promise<void> {
  await close?.()
  await site.close()
}

function tell(message: FromHost): void {
  process.send?.(message)
}
