import { internalSubject, migrationHsmOperations } from '@claviger/contracts';
import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import type { MigrationHsmController } from './migration-hsm.controller';

const { surveyToken } = migrationHsmOperations;

/**
 * What is asked of every worker at once: each hears it beside the queue group of which one answers. That one answers twice, and its name says so.
 * What is no such question is answered by the queue group alone.
 */
export function answerSurveys(connection: NatsConnection, controller: Pick<MigrationHsmController, 'survey'>): Subscription {
  return connection.subscribe(internalSubject(surveyToken.service, surveyToken.verb), {
    callback: (error, m) => {
      if (error || !m.reply) return;
      void (async () => m.respond(JSON.stringify(await controller.survey(surveyToken.request.parse(m.json())))))().catch(() => undefined);
    },
  });
}
