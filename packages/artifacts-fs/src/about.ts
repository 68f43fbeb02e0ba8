import { retried, unless, type Place } from './disk.ts'
import { aboutFile, bytesFile, type Kept } from './layout.ts'
import { lookAt } from './kept.ts'

/** What is known of bytes besides themselves. */
export interface About {
  readonly mediaType: string
  /** Unix milliseconds. */
  readonly createdAt: number
}

/** An artifact with what is known of it. */
export interface Described {
  readonly kept: Kept
  /** Bytes. */
  readonly size: number
  /** Missing when its file is damaged or lost. */
  readonly about?: About
}

/** Reads what is known of an artifact; null when there is none. */
export async function describe({ disk }: Place, folder: string): Promise<Described | null> {
  return retried(async () => {
    const { kept } = await lookAt(disk, folder)
    if (kept === undefined) return null
    const stats = await unless(['ENOENT'], disk.stat(bytesFile(folder, kept)))
    if (stats === undefined) return undefined
    const text = await unless(['ENOENT', 'EISDIR'], disk.readFile(aboutFile(folder, kept.upload), 'utf8'))
    // Gone together with its artifact, or alone?
    if (text === undefined && (await lookAt(disk, folder)).kept?.upload !== kept.upload) return undefined
    const about = parse(text ?? '')
    return { kept, size: stats.size, ...(about && { about }) }
  })
}

function parse(text: string): About | undefined {
  try {
    const { mediaType, createdAt } = JSON.parse(text) as Partial<Record<keyof About, unknown>>
    return typeof mediaType === 'string' && typeof createdAt === 'number' ? { mediaType, createdAt } : undefined
  } catch {
    return undefined
  }
}
