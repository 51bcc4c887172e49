import type { Generated } from 'kysely'

interface IssuedColumns {
  serial: string
  fingerprint: string
  not_after: number
  created_at: number
  revoked_at: number | null
}

/** The tables as kysely sees them. Every one but `tenants` begins its key with `tenant_id`. */
export interface Tables {
  tenants: { id: string; created_at: number }
  environments: { tenant_id: string; name: string; is_production: 0 | 1; created_at: number }
  sites: { tenant_id: string; environment: string; name: string; created_at: number }
  join_tokens: {
    tenant_id: string
    hash: Uint8Array
    environment: string
    site: string
    created_at: number
    expires_at: number
    used_at: number | null
    agent_id: string | null
  }
  agents: IssuedColumns & {
    tenant_id: string
    id: string
    environment: string
    site: string
    previous_serial: string | null
    generation: Generated<number>
    version: string
    instance: string
    source_address: string
    renewed_at: number
  }
  connectors: IssuedColumns & {
    tenant_id: string
    id: string
    environment: string
    name: string
    secret_hash: Uint8Array | null
    previous_serial: string | null
    generation: Generated<number>
  }
  grants: {
    tenant_id: string
    connector_id: string
    site: string
    resource: string
    expires_at: number | null
    hours: string | null
  }
  grant_requests: {
    tenant_id: string
    id: string
    connector_id: string
    site: string
    resource: string
    reason: string
    duration_ms: number
    requester_kind: string
    requester_id: string
    created_at: number
    state: 'open' | 'approved' | 'refused' | 'withdrawn'
    decider_kind: string | null
    decider_id: string | null
    decided_at: number | null
    expires_at: number
  }
  freezes: {
    tenant_id: string
    kind: 'tenant' | 'site' | 'resource' | 'connector'
    environment: string
    name: string
    reason: string
    created_at: number
  }
  machines: {
    tenant_id: string
    id: string
    name: string
    role: string
    environment: string | null
    site: string | null
    via_api: 0 | 1
    hash: Uint8Array
    created_at: number
    revoked_at: number | null
  }
  support_grants: {
    tenant_id: string
    id: string
    person_id: string
    role: 'operator' | 'auditor' | 'developer'
    environment: string | null
    site: string | null
    reason: string
    begins_at: number
    ends_at: number
    giver_kind: string
    giver_id: string
    created_at: number
    used_at: number | null
    revoked_at: number | null
  }
  restrictions: { tenant_id: string; name: string; ranges: string; ca: string | null; created_at: number }
  restriction_uses: {
    tenant_id: string
    name: string
    kind: 'connector' | 'resource' | 'publication' | 'logins' | 'person'
    environment: string
    target: string
  }
  publications: {
    tenant_id: string
    kind: 'tcp' | 'host' | 'sni'
    address: string
    environment: string
    site: string
    resource: string
  }
  audit_records: {
    tenant_id: string
    seq: number
    time: number
    environment: string
    actor_kind: string
    actor_id: string
    source: string
    action: string
    object: string
    outcome: string
    trace_id: string
    detail: string
    hash: Uint8Array
  }
  tenant_keys: { tenant_id: string; version: number; wrapped: Uint8Array; created_at: number }
  secrets: { tenant_id: string; name: string; sealed: Uint8Array; changed_at: number }
  replies: {
    tenant_id: string
    id: string
    caller: string
    request_hash: Uint8Array
    created_at: number
    sealed: Uint8Array
  }
  deliveries: {
    tenant_id: string
    name: string
    kind: 'webhook' | 'syslog'
    target: string
    ca: string | null
    position: number
    created_at: number
  }
  audit_checkpoints: { tenant_id: string; seq: number; time: number; hash: Uint8Array; signature: Uint8Array }
  people: {
    tenant_id: string
    id: string
    login: string
    created_at: number
    password_hash: string | null
    failures: Generated<number>
    locked_at: number | null
  }
  copy_policies: { tenant_id: string; response: 'alarm' | 'freeze' }
  login_policies: { tenant_id: string; lockout_after: number; second_factor_since: Generated<number | null> }
  role_assignments: {
    tenant_id: string
    person_id: string
    role: string
    environment: string
    site: string
    via_api: 0 | 1
  }
  login_addresses: {
    tenant_id: string
    person_id: string
    address: string
    last_at: number
    failures: number
  }
  person_links: { tenant_id: string; hash: Uint8Array; person_id: string | null; expires_at: number }
  person_factors: {
    tenant_id: string
    person_id: string
    id: string
    kind: 'totp' | 'webauthn'
    name: string
    created_at: number
    is_confirmed: 0 | 1
    counter: number
    credential: string
  }
  recovery_codes: { tenant_id: string; person_id: string; hash: Uint8Array }
  person_sessions: {
    tenant_id: string
    hash: Uint8Array
    id: string
    person_id: string
    carrier: 'cookie' | 'bearer'
    how: string
    source: string
    created_at: number
    authenticated_at: number
    seen_at: number
    second_factor: Generated<0 | 1>
  }
  person_keys: {
    tenant_id: string
    id: string
    person_id: string
    name: string
    hash: Uint8Array
    assignments: string
    created_at: number
    expires_at: number
  }
  identity_providers: {
    tenant_id: string
    name: string
    kind: 'oidc' | 'saml'
    settings: string
    revision: number
    created_at: number
  }
  federated_people: {
    tenant_id: string
    provider: string
    subject: string
    person_id: string
    assignments: string
  }
  federated_sessions: {
    tenant_id: string
    session_id: string
    person_id: string
    provider: string
    subject: string
    sid: string
  }
}
