import { readPin, Token, tokenKeyLabels } from '@claviger/hsm';
import type { layout, TokenName } from './layout';

export interface TokenPlace {
  place: ReturnType<typeof layout>;
  /** PKCS#11 library. */
  libraryPath: string;
}

/** A token of the installation, open while `use` runs. Use one after the other: SoftHSM has one configuration at a time. @throws HsmError */
export async function withToken<T>({ place, libraryPath }: TokenPlace, name: TokenName, use: (token: Token) => T | Promise<T>): Promise<T> {
  // The SoftHSM of an installation has a configuration per token, read whenever the library is initialised; other libraries ignore this.
  process.env.SOFTHSM2_CONF = place.softhsmConf(name);
  const token = Token.open({ libraryPath, tokenLabel: name, pin: readPin(place.pinFile(name)), canary: tokenKeyLabels[name].certifier });
  try {
    return await use(token);
  } finally {
    token.close();
  }
}
