import type { ContentId } from '@varve/store'
import path from 'node:path'

// <folder>/sha256/<first 2 digits>/<64 digits>/<usedAt>.<upload>.bytes
// <folder>/sha256/<first 2 digits>/<64 digits>/<upload>.json
// <folder>/tmp/<startedAt>.<upload>/                             becomes the folder of an artifact in one rename

const BYTES = /^(?<usedAt>-?\d{1,16})\.(?<upload>[0-9a-f-]{36})\.bytes$/
const UPLOAD = /^(?<startedAt>-?\d{1,16})\.[0-9a-f-]{36}$/
const DIGITS = /^[0-9a-f]{64}$/

/** An artifact that is there. The name of its bytes says when it was last used: so one rename compares and sets it. */
export interface Kept {
  /** Which put brought it; never the same again, not for the same bytes either. */
  readonly upload: string
  /** Unix milliseconds. */
  readonly usedAt: number
}

/** The folder of all artifacts. */
export function artifactsFolder(folder: string): string {
  return path.join(folder, 'sha256')
}

/** The folder of one artifact. */
export function artifactFolder(folder: string, id: ContentId): string {
  const digits = id.slice('sha256:'.length)
  return path.join(artifactsFolder(folder), digits.slice(0, 2), digits)
}

/** The ids of artifacts among the names in a folder of those that begin with the same two digits, in order. */
export function idsAmong(names: readonly string[], shard: string): ContentId[] {
  return names
    .filter((name) => DIGITS.test(name) && name.startsWith(shard))
    .sort()
    .map((digits): ContentId => `sha256:${digits}`)
}

/** The file with the bytes. */
export function bytesFile(folder: string, { upload, usedAt }: Kept): string {
  return path.join(folder, `${usedAt}.${upload}.bytes`)
}

/** The file that says what the bytes are. */
export function aboutFile(folder: string, upload: string): string {
  return path.join(folder, `${upload}.json`)
}

/** Reads the name of a file with bytes. */
export function keptAs(name: string): Kept | undefined {
  const { usedAt, upload } = BYTES.exec(name)?.groups ?? {}
  return usedAt === undefined || upload === undefined ? undefined : { upload, usedAt: Number(usedAt) }
}

/** The folder of everything that is on its way in. */
export function uploadsFolder(folder: string): string {
  return path.join(folder, 'tmp')
}

/** The folder of one upload. */
export function uploadFolder(folder: string, upload: string, startedAt: number): string {
  return path.join(uploadsFolder(folder), `${startedAt}.${upload}`)
}

/** When an upload was started or last marked as alive, Unix milliseconds; nothing for the name of something else. */
export function startOf(name: string): number | undefined {
  const startedAt = UPLOAD.exec(name)?.groups?.['startedAt']
  return startedAt === undefined ? undefined : Number(startedAt)
}
