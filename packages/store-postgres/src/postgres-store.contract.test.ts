import type {} from '../../../test/postgres/global-setup.ts'
import { describeStoreContract } from '@varve/store-contract'
import { afterAll, inject } from 'vitest'
import { schemaHarnesses } from './testing/postgres-harness.ts'

const { make, drop } = schemaHarnesses(inject('pgUrl'))
afterAll(drop)

describeStoreContract('postgres', make)
