import { randomInt } from 'node:crypto';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

export const newReviewId = () => `ar_${Array.from({ length: 22 }, () => alphabet[randomInt(alphabet.length)]).join('')}`;
