/** A set-up that cannot go on: what is wrong, and the lines that tell the reader exactly what to do about it. */
export class SetupProblem extends Error {
  constructor(message, todo = [], cause = undefined) {
    super(message, { cause });
    this.name = 'SetupProblem';
    this.todo = todo;
  }
}
