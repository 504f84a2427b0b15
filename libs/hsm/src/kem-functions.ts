import koffi, { type KoffiFunc } from 'koffi';
import { HsmError } from './hsm-error';

/** C_EncapsulateKey and C_DecapsulateKey (PKCS#11 v3.2 §5.19) of one library, on the sessions and objects of the other binding. */
export interface KemFunctions {
  /** @throws an error with `code`, the return value, as the other binding's */
  encapsulateKey(call: KemCall, ciphertextBytes: number): { ciphertext: Buffer; object: Buffer };
  decapsulateKey(call: KemCall, ciphertext: Buffer): Buffer;
}
export interface KemCall {
  session: Buffer;
  mechanism: number;
  key: Buffer;
  template: readonly { type: number; value: Buffer | number | boolean }[];
}

/** CK_ULONG, and with it every handle, of a 64-bit platform other than Windows. */
const ulongBytes = 8;
/** Their places in CK_FUNCTION_LIST_3_2, which begins with a CK_VERSION in the room of one pointer. */
const encapsulateAt = 93;
const decapsulateAt = 94;

const Version = koffi.struct({ major: 'uint8', minor: 'uint8' });
const Attribute = koffi.struct({ type: 'ulong', pValue: 'void *', ulValueLen: 'ulong' });
const Mechanism = koffi.struct({ mechanism: 'ulong', pParameter: 'void *', ulParameterLen: 'ulong' });
const Encapsulate = koffi.proto('ulong', [
  ...['ulong', koffi.pointer(Mechanism), 'ulong', koffi.pointer(Attribute), 'ulong'],
  ...[koffi.pointer('uint8'), koffi.inout(koffi.pointer('ulong')), koffi.out(koffi.pointer('ulong'))],
]);
const Decapsulate = koffi.proto('ulong', [
  ...['ulong', koffi.pointer(Mechanism), 'ulong', koffi.pointer(Attribute), 'ulong'],
  ...[koffi.pointer('uint8'), 'ulong', koffi.out(koffi.pointer('ulong'))],
]);

const known = new Map<string, KemFunctions | undefined>();

/**
 * The library is one that this process has loaded: the loader gives the same one again, so its sessions and objects are those of the other binding.
 * @throws HsmError HSM_MECHANISM_UNAVAILABLE when the library has no interface of version 3.2
 */
export function kemFunctionsOf(libraryPath: string): KemFunctions {
  if (!known.has(libraryPath)) known.set(libraryPath, load(libraryPath));
  const functions = known.get(libraryPath);
  if (!functions)
    throw new HsmError('HSM_MECHANISM_UNAVAILABLE', `${libraryPath} has no interface of PKCS#11 v3.2, which encapsulation needs`);
  return functions;
}

function load(libraryPath: string): KemFunctions | undefined {
  const list = interfaceOf(libraryPath);
  if (list === undefined) return undefined;
  const encapsulate = functionAt(list, encapsulateAt, Encapsulate);
  const decapsulate = functionAt(list, decapsulateAt, Decapsulate);
  return {
    encapsulateKey({ session, mechanism, key, template }, ciphertextBytes) {
      const ciphertext = Buffer.alloc(ciphertextBytes);
      const [length, object] = [[ciphertextBytes], [0]];
      const attributes = template.map(attributeOf);
      assertDone(
        encapsulate(handle(session), of(mechanism), handle(key), attributes, attributes.length, ciphertext, length, object),
        'C_EncapsulateKey',
      );
      return { ciphertext: ciphertext.subarray(0, length[0]), object: ulong(object[0] as number) };
    },
    decapsulateKey({ session, mechanism, key, template }, ciphertext) {
      const object = [0];
      const attributes = template.map(attributeOf);
      assertDone(
        decapsulate(handle(session), of(mechanism), handle(key), attributes, attributes.length, ciphertext, ciphertext.length, object),
        'C_DecapsulateKey',
      );
      return ulong(object[0] as number);
    },
  };
}

/** Function list of version 3.2, or undefined where there is none. */
function interfaceOf(libraryPath: string): unknown {
  const library = koffi.load(libraryPath);
  const found: unknown[] = [null];
  try {
    const getInterface = library.func('C_GetInterface', 'ulong', ['const char *', koffi.pointer(Version), koffi.out('void **'), 'ulong']);
    if (getInterface('PKCS 11', { major: 3, minor: 2 }, found, 0) !== 0 || !found[0]) return undefined;
  } catch {
    // A library of version 2 has no such function.
    return undefined;
  }
  // CK_INTERFACE: name, function list, flags.
  return koffi.decode(found[0], ulongBytes, 'void *');
}

const functionAt = (list: unknown, at: number, type: ReturnType<typeof koffi.proto>): KoffiFunc<(...given: unknown[]) => number> =>
  koffi.decode(koffi.decode(list, ulongBytes * at, 'void *'), type);
const of = (mechanism: number) => ({ mechanism, pParameter: null, ulParameterLen: 0 });
const handle = (bytes: Buffer): bigint => bytes.readBigUInt64LE(0);

function attributeOf({ type, value }: KemCall['template'][number]) {
  const pValue = typeof value === 'number' ? ulong(value) : typeof value === 'boolean' ? Buffer.from([value ? 1 : 0]) : value;
  return { type, pValue, ulValueLen: pValue.length };
}

function ulong(value: number): Buffer {
  const bytes = Buffer.alloc(ulongBytes);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function assertDone(returned: number, name: string): void {
  if (returned !== 0) throw Object.assign(new Error(`${name} returned 0x${returned.toString(16)}`), { code: returned });
}
