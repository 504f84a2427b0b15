import type { Classification, Environment } from '@claviger/contracts';

export interface Floor {
  /** Least security strength against a classical attacker (SP 800-57 Part 1 rev. 5, tables 2 and 3). */
  readonly strengthBits: 112 | 128 | 192 | 256;
  /** What must be said about the key. */
  readonly said: readonly ('team' | 'contact' | 'description')[];
}

const anything: Floor = { strengthBits: 112, said: [] };

/**
 * The least that a key of each environment and classification must be. 112 bits is what SP 800-57 Part 1 rev. 5 §5.6.3 asks of all federal use,
 * 128 what it asks from 2031 on: what is restricted or confidential today is mostly still so then. Who answers for a key must be known
 * wherever losing it would hurt somebody (§8.3.5: key inventories).
 */
export const floors: Readonly<Record<Environment, Readonly<Record<Classification, Floor>>>> = {
  production: {
    restricted: { strengthBits: 128, said: ['team', 'contact', 'description'] },
    confidential: { strengthBits: 128, said: ['team', 'contact'] },
    internal: { strengthBits: 112, said: ['team'] },
    public: { strengthBits: 112, said: ['team'] },
  },
  staging: {
    restricted: { strengthBits: 128, said: ['team'] },
    confidential: { strengthBits: 112, said: ['team'] },
    internal: anything,
    public: anything,
  },
  development: { restricted: { strengthBits: 128, said: ['team'] }, confidential: anything, internal: anything, public: anything },
};
