export const dayMs = 86_400_000;
/** Bits of strength: less may not protect after 2030 (SP 800-57 Part 1 rev. 5, table 4). */
export const strongFromBits = 128;
