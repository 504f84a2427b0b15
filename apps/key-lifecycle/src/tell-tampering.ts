import type { TamperedDocuments } from '@claviger/service';
import { TamperedDocument } from './signed-documents';

/** Reads what is signed in a document, and tells when somebody else wrote it, or that it is well again. */
export function tellTampering<T>(tampered: TamperedDocuments, id: string, read: () => T): T {
  try {
    const result = read();
    tampered.well(id);
    return result;
  } catch (error) {
    if (error instanceof TamperedDocument) tampered.found(id, String(error.cause));
    throw error;
  }
}
