import { liveAudit } from '../audit/live.ts'
import { downloadBackup } from '../operations/backups.ts'
import { exportTenantRoute } from '../operations/tenant-export.ts'
import type { StreamRoute } from './stream-route.ts'

/** Every route of the API that answers by a stream. Who makes one adds it here. */
export const STREAM_ROUTES: readonly StreamRoute[] = [liveAudit, exportTenantRoute, downloadBackup]
