import { randomBytes } from 'node:crypto';
import type { Evaluator } from '@claviger/authz';
import { claviger } from '@claviger/authz';
import { type Principal, type SessionView, sessionPattern } from '@claviger/contracts';
import type { AuditTrail } from '@claviger/messaging';
import type { ConnectionRequest } from './callout-wire';
import type { Credentials } from './credentials';
import { commitIp } from './ip-commitment';
import type { Logins } from './logins';
import { permissionsOf } from './permissions';
import type { PersonalValues } from './personal-values';
import { type Proof, sessionEnd } from './proof';
import { Refused } from './refusal';
import type { Registries } from './registries';
import type { Sessions } from './sessions';

/** What admission decides from and acts on. It needs keys and KV, never the document store. */
export interface AdmissionPorts {
  credentials: Pick<Credentials, 'prove'>;
  registries: Pick<Registries, 'current'>;
  evaluator: Pick<Evaluator, 'decide'>;
  sessions: Pick<Sessions, 'fresh' | 'claim' | 'useOnce'>;
  logins: Pick<Logins, 'end' | 'lastDayMs'>;
  policyFresh: () => boolean;
  trail: Pick<AuditTrail, 'append'>;
  personal: Pick<PersonalValues, 'keep'>;
  nowMs?: () => number;
}

export interface Admitted {
  readonly principal: string;
  readonly session: string;
  readonly expiresAtMs: number;
  readonly permissions: ReturnType<typeof permissionsOf>;
}

/** One connection: from what it shows to what it may do. Every step that fails throws Refused, and nothing later happens. */
export class Admission {
  private readonly nowMs: () => number;

  constructor(private readonly ports: AdmissionPorts) {
    this.nowMs = ports.nowMs ?? Date.now;
  }

  async admit(request: ConnectionRequest): Promise<Admitted> {
    const session = request.connect_opts.name ?? '';
    if (!sessionPattern.test(session)) throw new Refused('session-malformed');
    const proof = await this.ports.credentials.prove(request, this.nowMs());
    const principal = this.registered(proof);
    const view = this.sessionOf(request, session, principal, proof);
    if (proof.once && !(await this.ports.sessions.useOnce(proof.once))) throw new Refused('token-replayed', principal.id);
    if (!(await this.ports.sessions.claim(view))) throw new Refused('session-reused', principal.id);
    await this.record(view);
    const expiresAtMs = Date.parse(view.expiresAt);
    return { principal: principal.id, session, expiresAtMs, permissions: permissionsOf(principal.id, session, this.readsAlerts(view)) };
  }

  private registered(proof: Proof): Principal {
    const { registries, policyFresh, sessions } = this.ports;
    const registry = registries.current;
    if (!registry || !policyFresh() || !sessions.fresh()) throw new Refused('state-stale');
    const principal = registry.principalOf(proof.identity);
    const end = this.ports.logins.end(proof.login, principal.id);
    if (end) throw new Refused(end.why, principal.id);
    return principal;
  }

  private sessionOf(request: ConnectionRequest, session: string, principal: Principal, proof: Proof): SessionView {
    const nowMs = this.nowMs();
    const expiresAtMs = Math.min(sessionEnd(proof, nowMs), this.ports.logins.lastDayMs(proof.login));
    if (expiresAtMs <= nowMs) throw new Refused('token-expired', principal.id);
    const ip = commitIp(request.client_info.host, randomBytes(16), session);
    this.ports.personal.keep(ip);
    return {
      kind: 'session',
      id: session,
      revision: 1,
      session,
      principal: principal.id,
      method: proof.method,
      mfa: proof.mfa,
      ...(proof.acr === undefined ? {} : { acr: proof.acr }),
      authTime: new Date(proof.login.authTimeMs).toISOString(),
      chain: proof.login.chain,
      ip: ip.commitment,
      issuedAt: new Date(nowMs).toISOString(),
      expiresAt: new Date(expiresAtMs).toISOString(),
      state: 'active',
      server: request.server_id.id,
      client: request.client_info.id,
    };
  }

  /** Durable before the broker hears yes: no record, no session. */
  private async record({ session, principal, method, mfa, ip, chain, authTime }: SessionView): Promise<void> {
    try {
      await this.ports.trail.append({ kind: 'session', event: 'opened', session, principal, method, mfa, ip, chain, authTime });
    } catch (cause) {
      throw new Refused('not-recorded', principal, { cause });
    }
  }

  private readsAlerts({ principal, mfa, method, acr, issuedAt }: SessionView): boolean {
    const context = { mfa, authMethod: method, acr, nowMs: Date.parse(issuedAt), sessionAgeSeconds: 0 };
    return this.ports.evaluator.decide({ principalId: principal, action: 'alerts:Read', resource: claviger, context }).kind === 'allow';
  }
}
