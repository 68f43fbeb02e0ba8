import type {} from '../../../../test/postgres/global-setup.ts'
import { afterAll, inject } from 'vitest'
import { openPostgres } from './stores.ts'
import { survivesOn } from './survives-on.ts'

const open = openPostgres(inject('pgUrl'))
afterAll(() => open[Symbol.asyncDispose]())

survivesOn('Postgres', open)
