import { LedgerError, parseSeal } from '@claviger/ledger';
import { chainName } from './admit';
import type { StreamMessage } from './stream-message';

const newline = 0x0a;

/** What messages claim to be, unverified: tells which committed facts to read before they are judged. */
export function claimedSeals(messages: readonly StreamMessage[]): { chain: string; seq: number }[] {
  return messages.flatMap(({ data }) => {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.length);
    try {
      const { seal } = parseSeal(bytes.subarray(bytes.lastIndexOf(newline) + 1));
      return [{ chain: chainName(seal), seq: seal.seq }];
    } catch (error) {
      if (error instanceof LedgerError) return [];
      throw error;
    }
  });
}
