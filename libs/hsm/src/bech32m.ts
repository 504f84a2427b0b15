/**
 * Bech32m (BIP 350; the character set and the code are those of BIP 173): a text that people can copy by hand. In texts of at most 90 characters its
 * checksum finds every error of up to four characters, and any other but one in 2^30. No 1, b, i or o among the characters of the data.
 */
const characters = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const checksumConstant = 0x2bc830a3;
const checksumCharacters = 6;
export const bech32mCharactersMost = 90;

/** @returns prefix, `1`, the bytes five bits a character, and the checksum; in small letters */
export function encodeBech32m(prefix: string, bytes: Buffer): string {
  const data = regroup(bytes, 8, 5);
  const rest = polymod([...expand(prefix), ...data, ...Array<number>(checksumCharacters).fill(0)]) ^ checksumConstant;
  const checksum = Array.from({ length: checksumCharacters }, (_, i) => (rest >> (5 * (checksumCharacters - 1 - i))) & 31);
  return `${prefix}1${[...data, ...checksum].map((value) => characters[value]).join('')}`;
}

/** The bytes; undefined for whatever `encodeBech32m` does not give with this prefix. Large letters only are as good as small letters only. */
export function decodeBech32m(prefix: string, text: string): Buffer | undefined {
  const small = text === text.toUpperCase() ? text.toLowerCase() : text;
  if (small.length > bech32mCharactersMost || !small.startsWith(`${prefix}1`)) return undefined;
  const values = [...small.slice(prefix.length + 1)].map((character) => characters.indexOf(character));
  if (values.length < checksumCharacters || values.includes(-1)) return undefined;
  if (polymod([...expand(prefix), ...values]) !== checksumConstant) return undefined;
  const bytes = Buffer.from(regroup(values.slice(0, -checksumCharacters), 5, 8));
  // One text for each byte string: bits that are left over are zero.
  return encodeBech32m(prefix, bytes) === small ? bytes : undefined;
}

const expand = (prefix: string): number[] => {
  const codes = [...prefix].map((character) => character.charCodeAt(0));
  return [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)];
};

/** In groups of other widths; the last one of 5 bits is filled up with zeros, and of 8 bits only whole ones count. */
function regroup(values: Iterable<number>, from: number, to: number): number[] {
  const groups: number[] = [];
  let held = 0;
  let bits = 0;
  for (const value of values) {
    held = (held << from) | value;
    for (bits += from; bits >= to; bits -= to) groups.push((held >> (bits - to)) & ((1 << to) - 1));
    held &= (1 << bits) - 1;
  }
  if (to < from && bits > 0) groups.push((held << (to - bits)) & ((1 << to) - 1));
  return groups;
}

const generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const polymod = (values: Iterable<number>): number => {
  let checksum = 1;
  for (const value of values) {
    const top = checksum >> 25;
    checksum = ((checksum & 0x1ffffff) << 5) ^ value;
    for (const [i, term] of generator.entries()) if ((top >> i) & 1) checksum ^= term;
  }
  return checksum;
};
