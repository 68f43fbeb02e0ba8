import { isArtifactRef } from '@varve/kernel'
import { canonicalJson, type ArtifactStore, type Json } from '@varve/store'
import type { ArtifactWriter } from '../execution/keep-output.ts'
import type { ArtifactReader } from '../execution/need-values.ts'

/** Reads artifacts outside of a run. */
export function storeReader(artifacts: ArtifactStore): ArtifactReader {
  const get: ArtifactReader['get'] = async (artifact) =>
    artifacts.get(isArtifactRef(artifact) ? artifact.$artifact : artifact)
  return {
    get,
    json: async (artifact) => JSON.parse(new TextDecoder().decode(await (await get(artifact)).bytes())) as Json,
  }
}

/** Keeps artifacts outside of a run: they stay only when a run, a cache entry or a pin refers to them. */
export function storeWriter(artifacts: ArtifactStore): ArtifactWriter {
  const put: ArtifactWriter['put'] = async (content, { mediaType = 'application/octet-stream' } = {}) => {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
    if (bytes instanceof Uint8Array) {
      return { $artifact: await artifacts.put(bytes, { mediaType }), size: bytes.byteLength, mediaType }
    }
    let size = 0
    const counted = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of bytes) {
        size += chunk.byteLength
        yield chunk
      }
    }
    const $artifact = await artifacts.put(counted(), { mediaType })
    return { $artifact, size, mediaType }
  }
  return { put, putJson: async (value) => put(canonicalJson(value ?? null), { mediaType: 'application/json' }) }
}
