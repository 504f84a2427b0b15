import { ConsoleLogger, type LoggerService } from '@nestjs/common';
import { ConfigurationError } from './configuration';

/** JSON lines to stdout when LOG_FORMAT=json (or not a terminal), readable lines on a terminal. */
export const createLogger = (service: string): ConsoleLogger =>
  new ConsoleLogger(service, {
    json: process.env.LOG_FORMAT ? process.env.LOG_FORMAT === 'json' : !process.stdout.isTTY,
    colors: process.stdout.isTTY ?? false,
    logLevels: process.env.LOG_LEVEL === 'debug' ? ['fatal', 'error', 'warn', 'log', 'debug'] : ['fatal', 'error', 'warn', 'log'],
  });

/**
 * Runs a service: `start` brings it up and returns its drain steps, which SIGTERM or SIGINT run in order, once. A wrong configuration
 * stops it at once with the variable's name (exit 78, EX_CONFIG); any other failure at start with exit 1.
 */
export async function runService(service: string, start: (logger: LoggerService) => Promise<(() => unknown)[]>): Promise<void> {
  const logger = createLogger(service);
  let steps: (() => unknown)[] | undefined;
  let asked = false;
  const drain = async (signal: string) => {
    if (asked) return;
    asked = true;
    logger.log(`${signal}: draining`);
    const giveUp = setTimeout(() => {
      logger.error('draining took more than 30 s; exiting');
      process.exit(1);
    }, 30_000);
    giveUp.unref();
    for (const step of steps ?? []) {
      try {
        await step();
      } catch (error) {
        logger.error(`while draining: ${String(error)}`);
      }
    }
    logger.log('stopped');
    process.exit(0);
  };
  process.on('SIGTERM', () => void drain('SIGTERM'));
  process.on('SIGINT', () => void drain('SIGINT'));
  try {
    steps = await start(logger);
  } catch (error) {
    if (error instanceof ConfigurationError) {
      logger.fatal(error.message);
      process.exit(78);
    }
    logger.fatal(
      error instanceof Error ? `could not start: ${error.message}` : String(error),
      error instanceof Error ? error.stack : undefined,
    );
    process.exit(1);
  }
  logger.log(`ready in ${Math.round(process.uptime() * 1_000)} ms`);
}
