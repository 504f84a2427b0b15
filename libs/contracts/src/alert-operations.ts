import { z } from 'zod';
import { Alert } from './alerts';
import { defineOperation } from './operation';

export const alertOperations = {
  list: defineOperation({
    name: 'alerts.list',
    action: 'alerts:Read',
    summary: 'Alerts, newest first.',
    retry: 'safe',
    input: { limit: z.int().min(1).max(200).default(50), status: z.enum(['open', 'acknowledged']).optional() },
    result: z.strictObject({ alerts: z.array(Alert) }),
  }),
  acknowledge: defineOperation({
    name: 'alerts.acknowledge',
    action: 'alerts:Acknowledge',
    summary: 'Say that somebody looks after it.',
    retry: 'safe',
    input: { alertId: z.string().max(128), note: z.string().max(1_000) },
    result: Alert,
  }),
} as const;
