import { type Edge, type ReadTile, tileReader } from '@claviger/ledger';
import { LRUCache } from 'lru-cache';
import { bytesOf } from './documents';
import { LedgerStore } from './ledger-store';

/** Of 8 KiB each. */
const tilesInMemory = 512;

/** The tree's tiles, full ones from the store. Those never change, so what was read once is kept. */
export class Tiles {
  private readonly held = new LRUCache<string, Buffer>({ max: tilesInMemory });

  constructor(private readonly store: LedgerStore) {}

  reader(edge: Edge): ReadTile {
    return tileReader(edge, (level, index) => this.full(`${level}/${index}`));
  }

  private async full(id: string): Promise<Buffer> {
    const held = this.held.get(id);
    if (held) return held;
    const document = await this.store.tiles.findOne({ _id: id });
    // Written before the head that reaches it: a tile that is not there is one that the store lost, never a proof of absence.
    if (!document) throw new Error(`the store has lost tile ${id}`);
    const bytes = bytesOf(document.bytes);
    this.held.set(id, bytes);
    return bytes;
  }
}
