import { type ActivityAnswer, lastActivities, type Request } from '@claviger/contracts';
import type { Answer } from '@claviger/messaging';
import { Controller } from '@nestjs/common';
import { MessagePattern, Payload } from '@nestjs/microservices';
import { LastActivities } from './last-activities';
import { toProblem } from './problem';

/** Shorter than the asker waits. */
const answerMs = 6_000;

/** For policy, which reviews access and takes away what nobody uses. */
@Controller()
export class LastActivitiesController {
  /** One request at a time: the ledger's own work comes first. */
  private busy: Promise<unknown> = Promise.resolve();

  constructor(private readonly activities: LastActivities) {}

  @MessagePattern(lastActivities.name)
  lastActivities(@Payload() { questions }: Request<typeof lastActivities>): Promise<Answer> {
    const deadline = performance.now() + answerMs;
    const answer = this.busy.then(() => this.look(questions, deadline));
    this.busy = answer.catch(() => undefined);
    return answer;
  }

  private async look(questions: Request<typeof lastActivities>['questions'], deadline: number): Promise<Answer> {
    try {
      const answers: ActivityAnswer[] = [];
      for (const question of questions) answers.push(await this.activities.of(question, deadline));
      return { result: { answers } };
    } catch (error) {
      throw toProblem(error);
    }
  }
}
