import type {} from '../../../../test/pgbouncer/global-setup.ts'
import { describeStoreContract } from '@varve/store-contract'
import { afterAll, inject } from 'vitest'
import { schemaHarnesses } from './postgres-harness.ts'

const { make, drop } = schemaHarnesses(inject('pgUrl'), { listenUrl: inject('directUrl') })
afterAll(drop)

describeStoreContract('postgres through pgbouncer', make)
