import { inspect } from 'node:util'

/** What is shown in the place of a secret. */
export const CENSOR = '[redacted]'

/** A value that must not be printed: JSON, templates, inspect and pino all show `[redacted]`. */
export class Secret<T> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  /** The value itself. Call it as late as possible and keep no copy. */
  reveal(): T {
    return this.#value
  }

  toString(): string {
    return CENSOR
  }

  toJSON(): string {
    return CENSOR
  }

  [inspect.custom](): string {
    return CENSOR
  }
}
