import { type Alert, type CloudEvent, cloudEvent, eventSubject, toOcsf } from '@claviger/contracts';

export type AlertEvent = CloudEvent<'io.claviger.alert.raised' | 'io.claviger.alert.acknowledged'>;

/** `id` follows from the alert and what happened to it, so publishing twice is publishing once (`Nats-Msg-Id`). */
export function alertEvent(what: 'raised' | 'acknowledged', alert: Alert, time: string): AlertEvent {
  return cloudEvent(`io.claviger.alert.${what}`, {
    id: `${alert.alertId}.${what}`,
    source: '/claviger/anomaly-detector',
    time,
    subject: alert.alertId,
    data: { alert, ocsf: toOcsf(alert) },
  });
}

/** `alerts.v1.alert.raised.<severity>`: a subscriber can take the critical ones only. */
export const alertSubject = (event: AlertEvent): string => eventSubject(event.type, event.data.alert.severity);
