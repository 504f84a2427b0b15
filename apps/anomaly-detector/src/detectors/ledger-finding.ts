import { type Alert, type CloudEvent, CloudEventEnvelope, eventTypes } from '@claviger/contracts';

const type = 'io.claviger.ledger.finding';
type Finding = Pick<CloudEvent<typeof type>, 'id' | 'time' | 'data'>;

/** A finding event out of a LEDGER message; undefined for anything else. */
export function readFinding(data: Uint8Array): Finding | undefined {
  try {
    const event = CloudEventEnvelope.parse(JSON.parse(Buffer.from(data).toString('utf8')));
    return event.type === type ? { id: event.id, time: event.time, data: eventTypes[type].data.parse(event.data) } : undefined;
  } catch {
    return undefined;
  }
}

/** What the ledger finds wrong with the record of the system is never noise. */
export function ledgerAlert({ time, data }: Finding): Omit<Alert, 'alertId' | 'status'> {
  const { finding, detail, streamSeq, index, worker } = data;
  const at = `AUDIT message ${streamSeq}${worker ? ` of worker ${worker.slice(0, 64)}` : ''}`;
  return {
    detector: 'ledger-finding',
    severity: 'critical',
    title: `The ledger found ${finding.slice(0, 64)}`,
    explanation: `The audit record cannot be trusted as it is: ${finding.slice(0, 64)} at ${at}. ${detail.slice(0, 1_000)} The ledger holds this finding at index ${index}.`,
    expected: 'Every batch of AUDIT signed by its worker, complete and in order.',
    seen: `${finding.slice(0, 64)}: ${detail.slice(0, 1_000)}`,
    firstSeen: time,
    lastSeen: time,
    evidence: streamSeq > 0 ? [{ streamSeq, line: 0 }] : [],
  };
}
