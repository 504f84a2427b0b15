import { keyFields, Propagation } from './key-description';
import { defineOperation } from './operation';
import { Classification } from './primitives';
import { Residency } from './residency';

/** What is decided about a key for what it protects, not for its use. */
export const keyGovernanceOperations = {
  setClassification: defineOperation({
    name: 'keys.set-classification',
    action: 'keys:SetClassification',
    summary:
      'Say how much harm it does when what the key protects is known. Raised, the key is rotated at once, or as soon as it can be; lowering it asks for keys:LowerClassification as well.',
    retry: 'safe',
    input: { ...keyFields.target, classification: Classification },
    result: Propagation,
  }),
  certify: defineOperation({
    name: 'keys.certify',
    action: 'keys:Certify',
    summary: 'As its owner, confirm what is written of the key: its classification, who uses it, that it is still needed.',
    retry: 'safe',
    input: keyFields.target,
    result: Propagation,
  }),
  setResidency: defineOperation({
    name: 'keys.set-residency',
    action: 'keys:SetResidency',
    summary:
      'Say in which regions the key may be used, stored and backed up; null is anywhere. A region more asks for keys:WidenResidency as well.',
    retry: 'safe',
    input: { ...keyFields.target, residency: Residency.nullable() },
    result: Propagation,
  }),
} as const;
