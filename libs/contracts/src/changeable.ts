import { accessOperations } from './access-operations';
import { backupOperations } from './backup-operations';
import { exportOperations } from './export-operations';
import { importOperations } from './import-operations';
import { keyOperations } from './key-operations';
import type { Operation } from './operation';
import { policyOperations } from './policy-operations';

type Changeable = Operation & { readonly item: Operation['request'] };

/**
 * Operations that can be done by a change request, by name: those of the services that verify approvals and claim a change before they act. Not the ones of
 * crypto: workers act in a millisecond, at thousands a second, and answer nobody twice.
 */
export const changeableOperations: ReadonlyMap<string, Changeable> = new Map(
  [keyOperations, importOperations, exportOperations, backupOperations, policyOperations, accessOperations]
    .flatMap((group) => Object.values<Changeable>(group))
    .filter(({ changeable }) => changeable)
    .map((operation) => [operation.name, operation]),
);
