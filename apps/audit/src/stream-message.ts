/** One message of AUDIT, as the broker stored it: whatever anybody managed to publish there. */
export interface StreamMessage {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
  /** When the broker stored it, RFC 3339 with milliseconds. */
  readonly time: string;
}
