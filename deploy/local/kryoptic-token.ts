import { runCommand, workspaceRoot } from '@claviger/testing';

/** A token of kryoptic beside an installation's own. @returns the variables of workers that use it */
export async function addKryopticToken(folder: string, libraryPath: string, label: string): Promise<Record<string, string>> {
  const command = ['bootstrap', 'add-token', '--folder', folder, '--library', libraryPath, '--label', label, '--json'];
  const { stdout } = await runCommand(process.execPath, ['dist/apps/cli/main.js', ...command], {
    cwd: workspaceRoot(),
    // Where the tokens lie is the installation's to say: KRYOPTIC_CONF or SOFTHSM2_CONF of ours would make it in somebody else's.
    env: { PATH: process.env.PATH },
  });
  return (JSON.parse(stdout) as { env: Record<string, string> }).env;
}
