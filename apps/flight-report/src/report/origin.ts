import type { ContentId } from '@varve/store'
import { count } from './numbers.ts'

/** Where a report comes from. */
export interface ReportOrigin {
  readonly runId: string
  /** Position and hash of the run's log when the report was published. */
  readonly head: number
  readonly headHash: string
  readonly dataset: string
  /** Names the flights that were read. */
  readonly data: ContentId
  readonly flights: number
  readonly approvedBy: string | undefined
  /** Unix milliseconds. */
  readonly publishedAt: number
}

const END = '</body>'

/** The page with its origin below it. */
export function withOrigin(page: string, origin: ReportOrigin): string {
  const end = page.lastIndexOf(END)
  return `${page.slice(0, end)}${provenance(origin)}\n${page.slice(end)}`
}

function provenance({ runId, head, headHash, dataset, data, flights, approvedBy, publishedAt }: ReportOrigin): string {
  const rows = [
    ['Run', runId],
    ['Log at publication', `event ${head}, ${headHash}`],
    ['Data', `${dataset}, ${count(flights)} flights, ${data}`],
    ['Approved by', approvedBy ?? 'an editor'],
    ['Published', new Date(publishedAt).toISOString()],
  ]
  const items = rows.map(([name, value]) => `<dt>${name}</dt><dd>${escapeHtml(value ?? '')}</dd>`)
  return `<footer><h2>Where this comes from</h2><dl>${items.join('')}</dl>
<p class="note">Flights: U.S. Bureau of Transportation Statistics, by way of the npm package vega-datasets.</p></footer>`
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
