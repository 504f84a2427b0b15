export { BackupDamaged } from './backup-error';
export { BackupFile, linesOf } from './backup-file';
export { entriesOf } from './entries';
export { type BackupLine, readBackup, type VerifiedBackup, verifyBackup } from './read-backup';
export { BackupWriter, type BackupWriterParts, digestOf } from './write-backup';
