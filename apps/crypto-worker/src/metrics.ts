import type { Token } from '@claviger/hsm';
import { metrics } from '@opentelemetry/api';
import type { KeyHolder } from './key-holder';
import type { TokenBreaker } from './token-breaker';

/** Prometheus: claviger_unwrapped_keys. */
export function observeKeys(keys: KeyHolder): void {
  metrics
    .getMeter('claviger')
    .createObservableGauge('claviger_unwrapped_keys', { description: 'Keys held unwrapped in the token' })
    .addCallback((result) => result.observe(keys.unwrapped));
}

/** Prometheus: claviger_hsm_breaker_open{token}, claviger_hsm_breaker_openings{token}; of the first token's breaker, and of each further one. */
export function observeRefusals(tokens: readonly Pick<TokenBreaker, 'label' | 'refuses' | 'openings'>[]): void {
  const meter = metrics.getMeter('claviger');
  meter
    .createObservableGauge('claviger_hsm_breaker_open', { description: '1 while requests are refused because the token fails' })
    .addCallback((result) => {
      for (const { label, refuses } of tokens) result.observe(refuses ? 1 : 0, { token: label });
    });
  meter
    .createObservableCounter('claviger_hsm_breaker_openings', {
      description: 'How often requests began to be refused because the token fails',
    })
    .addCallback((result) => {
      for (const { label, openings } of tokens) result.observe(openings, { token: label });
    });
}

/** Prometheus: claviger_hsm_hanging_calls{token}. */
export function observeHanging(tokens: readonly Pick<Token, 'label' | 'hanging'>[]): void {
  metrics
    .getMeter('claviger')
    .createObservableGauge('claviger_hsm_hanging_calls', {
      description: 'Calls that the token did not answer in time and has not answered since',
    })
    .addCallback((result) => {
      for (const { label, hanging } of tokens) result.observe(hanging, { token: label });
    });
}
