import type {} from '../../../test/postgres/global-setup.ts'
import { describeStoreContract } from '@varve/store-contract'
import { inject } from 'vitest'
import { schemaHarness } from './testing/postgres-harness.ts'

describeStoreContract('postgres', async () => schemaHarness(inject('pgUrl')))
