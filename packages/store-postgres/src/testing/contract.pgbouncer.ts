import type {} from '../../../../test/pgbouncer/global-setup.ts'
import { describeStoreContract } from '@varve/store-contract'
import { inject } from 'vitest'
import { schemaHarness } from './postgres-harness.ts'

describeStoreContract('postgres through pgbouncer', async () =>
  schemaHarness(inject('pgUrl'), { listenUrl: inject('directUrl') }),
)
