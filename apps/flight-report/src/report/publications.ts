import { ActionError } from '@varve/kernel'
import { contentId, type ContentId } from '@varve/store'
import { copyFile, link, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'

/** A report that lies there. */
export interface PublishedReport {
  /** Name of the file, which stays. */
  readonly name: string
  readonly bytes: number
  readonly hash: ContentId
}

/** Which attempt of which run publishes. */
export interface Attempt {
  /** Names the run among those of all stores. */
  readonly run: string
  /** From 1. */
  readonly attempt: number
}

/** Reports that were published, each once: one file per attempt, which is there as a whole or not at all. */
export interface Publications {
  /** @throws ActionError `NOT_PUBLISHED` when nothing was published for certain; any other error leaves that open. */
  publish(attempt: Attempt, html: string, signal: AbortSignal): Promise<PublishedReport>
  /** What an attempt has published; undefined for one that has not, and is kept from it from now on. */
  settle(attempt: Attempt): Promise<PublishedReport | undefined>
}

/**
 * Reports in a folder. An attempt publishes by linking its page to a name of its own, which only one can take: to settle an attempt,
 * the name is taken with nothing in it. A copy of the newest report stands beside the folder.
 */
export function publications(folder: string, newest: string): Publications {
  const fileOf = ({ run, attempt }: Attempt): string => path.join(folder, `${run}.${attempt}.html`)
  return {
    publish: async (attempt, html, signal) => {
      const file = fileOf(attempt)
      await linkOnce(file, html, signal)
      await show(file, newest)
      return reportOf(file, Buffer.from(html))
    },
    settle: async (attempt) => {
      const file = fileOf(attempt)
      await mkdir(folder, { recursive: true })
      const bytes = (await takeName(file)) ? undefined : await readFile(file)
      await rm(`${file}.tmp`, { force: true })
      if (bytes === undefined || bytes.length === 0) return undefined
      await show(file, newest)
      return reportOf(file, bytes)
    },
  }
}

function reportOf(file: string, bytes: Uint8Array): PublishedReport {
  return { name: path.basename(file), bytes: bytes.length, hash: contentId(bytes) }
}

/** The link is the publication: what fails before it has published nothing. */
async function linkOnce(file: string, html: string, signal: AbortSignal): Promise<void> {
  const temporary = `${file}.tmp`
  try {
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(temporary, html, { flush: true })
    signal.throwIfAborted()
    await link(temporary, file)
  } catch (cause) {
    const text = `the report was not published: ${String(cause)}`
    throw new ActionError('permanent', text, { code: 'NOT_PUBLISHED', notExecuted: true, cause })
  } finally {
    // Whether it was published does not depend on what is left behind.
    await rm(temporary, { force: true }).catch(() => undefined)
  }
}

/** @returns false when somebody had it already. */
async function takeName(file: string): Promise<boolean> {
  try {
    await (await open(file, 'wx')).close()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Whoever opens the newest report sees all of the new one or all of the old one. */
async function show(file: string, newest: string): Promise<void> {
  const temporary = `${newest}.${process.pid}.tmp`
  try {
    await copyFile(file, temporary)
    await rename(temporary, newest)
  } finally {
    await rm(temporary, { force: true })
  }
}
