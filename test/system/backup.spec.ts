import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtProgram, runCommand, temporaryFolder, workspaceRoot } from '@claviger/testing';
import { expect, test } from '@jest/globals';
import type { DrillReport } from '../../deploy/local/drill-report';

test('a site that is lost with its tokens comes back from its backup: every key proven, what was destroyed stays so', async () => {
  const cwd = workspaceRoot();
  const folder = await temporaryFolder('drill-report');
  await builtProgram('deploy/local/drill-dr.ts');
  const drill = ['dist/apps/cli/main.js', 'drill', 'dr', '--keys', '40', '--out', folder.path];
  const { code, stderr } = await runCommand(process.execPath, drill, { cwd, allowFailure: true });
  expect([code, stderr]).toMatchObject([0, expect.any(String)]);
  const report = JSON.parse(readFileSync(join(folder.path, 'drill-dr.json'), 'utf8')) as DrillReport;
  expect(report.checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(report.restore).toMatchObject({
    state: 'complete',
    proof: { ok: true, keys: 40, failures: 0 },
    restored: { suspended: 1, destroyed: 2, aliases: 2, aliasesLeftOut: 0 },
  });
  expect(report.restore.proof?.proven).toBe(report.backup.counts?.versions);
  expect(readFileSync(join(folder.path, 'drill-dr.md'), 'utf8')).toContain('| RTO');
  await folder.remove();
}, 240_000);
