import { contentId, type ContentId } from '@varve/store'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { HourStatistics } from '../flights/hour-statistics.ts'

/** What is published. */
export interface ReportContent {
  readonly file: { readonly hash: ContentId; readonly flights: number }
  readonly hours: readonly HourStatistics[]
  readonly approvedBy: string | null
}

/** Where it comes from. */
export interface ReportOrigin {
  readonly runId: string
  readonly dataset: string
  /** Position and hash of the run's log when the report was made. */
  readonly head: number
  readonly headHash: string
  /** Unix milliseconds. */
  readonly publishedAt: number
}

/** A report that lies there. */
export interface PublishedReport {
  /** Name of the file. */
  readonly name: string
  readonly bytes: number
  readonly hash: ContentId
}

/** Publishes a report for a run. Doing it twice leaves one report. */
export type Publisher = (
  content: ReportContent,
  run: { readonly runId: string; readonly signal: AbortSignal },
) => Promise<PublishedReport>

/** Writes the report so that whoever opens its path sees all of the new one or all of the old one. */
export async function publishReport(
  target: string,
  content: ReportContent,
  options: { readonly origin: ReportOrigin; readonly signal: AbortSignal },
): Promise<PublishedReport> {
  // Loaded when it is needed: the charting library takes longer to load than a whole run takes without it.
  const { reportPage } = await import('./report-page.ts')
  const html = Buffer.from(await reportPage(content, options.origin))
  const temporary = `${target}.${process.pid}.tmp`
  await mkdir(path.dirname(target), { recursive: true })
  try {
    await writeFile(temporary, html, { flush: true })
    options.signal.throwIfAborted()
    await rename(temporary, target)
  } finally {
    await rm(temporary, { force: true })
  }
  return { name: path.basename(target), bytes: html.length, hash: contentId(html) }
}
