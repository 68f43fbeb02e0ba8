import { memorySite } from './memory-site.ts'
import { postgresSite } from './postgres-site.ts'
import { sqliteSite } from './sqlite-site.ts'
import type { Site, SiteName } from './site.ts'

/** Opens what is to be measured. */
export async function openSite(name: SiteName): Promise<Site> {
  switch (name) {
    case 'memory':
      return memorySite()
    case 'sqlite-full':
      return sqliteSite('FULL')
    case 'sqlite-normal':
      return sqliteSite('NORMAL')
    case 'postgres':
      return postgresSite()
  }
}
