import type { KeyObject } from 'node:crypto'
import { checkOptions, type LogEnd, type NamesOf } from '@varve/store'
import { checkNames } from '../known-names.ts'
import { checkBundle, type CheckedBundle } from './bundle-check.ts'
import type { EvidenceCode, EvidenceWhere } from './evidence-error.ts'
import { checkHead, checkKeyList } from './given.ts'
import { lifecycle } from './lifecycle.ts'
import { evidenceLimits, type EvidenceLimits } from './limits.ts'
import type { VerifiedRun } from './run-check.ts'
import { isSignedBy, publicText } from './signature.ts'
import type { EvidenceSource } from './text-lines.ts'

/** What is known of a bundle from elsewhere. */
export interface VerifyEvidenceOptions {
  /** End of the run's log, as it was noted where nobody could change it: seq and hash of the last event. */
  readonly head?: LogEnd
  /** Ed25519 public keys of those who may vouch for a bundle. One without a signature is `unanchored` for them, and not refused. */
  readonly trustedKeys?: readonly KeyObject[]
  /** How much to take. Default: what a store allows, for 10,000 runs. */
  readonly limits?: Partial<EvidenceLimits>
}

const NAMES: NamesOf<VerifyEvidenceOptions> = {
  ...{ head: true, trustedKeys: true, limits: true },
}

/**
 * Why a run is the one that ran, and no consistent forgery: a trusted key signed the bundle; its log ends with a head that was
 * noted elsewhere, or that such a log has recorded; or there is no reason.
 */
export type Anchor = 'signed' | 'known-head' | 'unanchored'

/** Whether a bundle is whole and consistent, and whether it is the one that it says it is. */
export type EvidenceVerification =
  | {
      readonly ok: true
      /** The run that was exported. */
      readonly runId: string
      readonly anchored: Anchor
      /** When it was signed, by the signer's clock in Unix milliseconds; there exactly when `anchored` is `signed`. */
      readonly signedAt?: number
      /** Whether the artifacts that the runs refer to are in the bundle, each with the hash that names it. */
      readonly artifacts: 'included' | 'omitted'
      /** That run, then those that it and they have started, when the bundle holds them. */
      readonly runs: readonly (VerifiedRun & { readonly anchored: Anchor })[]
    }
  | {
      readonly ok: false
      readonly code: EvidenceCode
      /** What is wrong and where, for people. */
      readonly message: string
      readonly where: EvidenceWhere
    }

/**
 * Checks what `kernel.exportEvidence` wrote; needs no store and no code of a workflow. Every line and hash, the data of every
 * event, the lifecycle, what the bundle says of its runs, the copied part of a fork, the ends of children, the bytes of artifacts,
 * the signature.
 *
 * What is wrong with the bundle is an answer. The source is read once, in pieces; memory grows with the number of items of one
 * run, of the children it names and of the artifacts referred to, not with the size of values.
 *
 * @throws KernelError `INVALID_INPUT` for options that cannot work or that there are none of, or a source of something else than
 * text or bytes; StoreError `INVALID_ARGUMENT` for what is no options; and whatever the source throws.
 */
export async function verifyEvidence(
  source: EvidenceSource,
  options: VerifyEvidenceOptions = {},
): Promise<EvidenceVerification> {
  checkOptions('the options of verifyEvidence', options)
  checkNames('verifyEvidence', options, NAMES, 'INVALID_INPUT')
  const { head, trustedKeys = [] } = options
  if (head !== undefined) checkHead(head)
  checkKeyList(trustedKeys)
  for (const key of trustedKeys) publicText(key)
  const limits = evidenceLimits(options.limits)
  const checked = await checkBundle(source, { limits, folding: ({ runId }) => lifecycle(runId), plain: false })
  if (!checked.ok) return { ...checked, code: checked.code as EvidenceCode }
  const [first] = checked.runs
  if (first === undefined) throw new TypeError('a checked bundle holds a run')
  const { runId } = first
  if (head !== undefined && (head.seq !== first.head || head.hash !== first.hash)) {
    const said = `it ends at seq ${first.head} with ${first.hash}, noted is seq ${head.seq} with ${head.hash}`
    const message = `HEAD_DIFFERS: the log of run ${runId} is not the one that was noted: ${said}`
    return { ok: false, code: 'HEAD_DIFFERS', message, where: { line: checked.lines.head, runId, seq: first.head } }
  }
  const { signature } = checked
  if (signature !== undefined && trustedKeys.length > 0 && !isSignedBy(signature, trustedKeys)) {
    const message = `UNTRUSTED_KEY: the bundle is signed by the key ${signature.publicKey}, which is not among the trusted ones`
    return { ok: false, code: 'UNTRUSTED_KEY', message, where: { line: checked.lines.last } }
  }
  const signed = signature !== undefined && trustedKeys.length > 0
  const anchored = signed ? 'signed' : head === undefined ? 'unanchored' : 'known-head'
  const artifacts = checked.artifacts ? 'included' : 'omitted'
  const when = signed && { signedAt: signature.signedAt }
  return { ok: true, runId, anchored, ...when, artifacts, runs: anchor(checked, anchored) }
}

/** A signature is over the whole bundle; a known head over one log, and over those whose ends that log has recorded. */
function anchor({ runs }: CheckedBundle, anchored: Anchor): readonly (VerifiedRun & { readonly anchored: Anchor })[] {
  const known = new Set<string>()
  return runs.map(({ provenBy, ...run }, i) => {
    const proven = i === 0 ? anchored !== 'unanchored' : provenBy !== undefined && known.has(provenBy)
    if (proven) known.add(run.runId)
    return { ...run, anchored: anchored === 'signed' || proven ? anchored : 'unanchored' }
  })
}
