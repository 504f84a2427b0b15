// The whole storage of a token goes away and comes back under an open token. A process of its own, since the library reads SOFTHSM2_CONF once.
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { HsmError, initToken, Token } from '../../src/index';

const { libraryPath, folder } = JSON.parse(readFileSync(0, 'utf8')) as { libraryPath: string; folder: string };
const code = (act: () => unknown) => {
  try {
    act();
    return 'fine';
  } catch (error) {
    return error instanceof HsmError ? error.code : String(error);
  }
};

mkdirSync(`${folder}/tokens`);
const fresh = { libraryPath, tokenLabel: 'away', pin: 'pin-of-away' };
initToken(libraryPath, { label: fresh.tokenLabel, soPin: 'so-pin-of-away', pin: fresh.pin });
let nowMs = 0;
const token = Token.open({ ...fresh, now: () => nowMs });
token.createCanary();
token.generateRootKey('root');
const { wrapped, mechanism } = token.generateKek(token.findTokenKey('root', 'secret'));
const unwrapKek = () =>
  token.unwrap({ wrapped, mechanism, algorithm: 'AES_256', wrappingKey: token.findTokenKey('root', 'secret'), usage: 'wrap' });
const answers: Record<string, string> = {};
answers.before = code(unwrapKek);
const { generation } = token;

renameSync(`${folder}/tokens`, `${folder}/elsewhere`);
answers.searchAway = code(() => token.findTokenKey('unknown', 'secret'));
answers.createAway = code(() => token.generateRootKey('new-root'));
answers.unwrapAway = code(unwrapKek);
answers.openAway = code(() => Token.open(fresh));

renameSync(`${folder}/elsewhere`, `${folder}/tokens`);
answers.tooSoon = code(unwrapKek);
nowMs += 60_000;
answers.back = code(unwrapKek);
answers.oldIsNew = String(token.generation > generation);
answers.onlyOneRoot = code(() => token.findTokenKey('new-root', 'secret'));
token.close();
process.stdout.write(JSON.stringify(answers));
