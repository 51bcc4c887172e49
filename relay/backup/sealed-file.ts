import { createCipheriv, createDecipheriv, scrypt } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'

/** What a backup begins with; a later form has another number. */
const MAGIC = Buffer.from('SALLYPORT BACKUP 1\n')
const SALT_BYTES = 16
const TAG_BYTES = 16

/** Plaintext in one chunk at most: what a hostile file can make a reader hold. */
const CHUNK_BYTES = 65_536

/** In the length of a chunk: it is the last. */
const LAST = 0x8000_0000

/**
 * What a guess of the passphrase costs, as scrypt's N: 128 MiB and some tenths of a second. It is fixed by the form of the file, so a hostile file
 * cannot ask for more.
 */
const GUESS_COST = 131_072

/** Shortest passphrase, in characters. */
const PASSPHRASE_MIN = 12

/**
 * Writes what it is given sealed with AES-256-GCM, in chunks. The number of each chunk is its nonce, the key is made for one file
 * only, and the last chunk says so: none can be changed, left out, moved or cut off.
 */
export class SealedWriter {
  readonly #file: FileHandle
  readonly #key: Buffer
  readonly #head: Buffer
  #waiting = Buffer.alloc(0)
  #chunk = 0

  private constructor(file: FileHandle, key: Buffer, head: Buffer) {
    this.#file = file
    this.#key = key
    this.#head = head
  }

  /** @param salt 16 random bytes @param cost less only in tests @throws {TunnelError} USAGE where the passphrase is too short */
  static async begin(
    file: FileHandle,
    passphrase: Secret<string>,
    salt: Buffer,
    cost: number = GUESS_COST,
  ): Promise<SealedWriter> {
    checkPassphrase(passphrase)
    const head = Buffer.concat([MAGIC, salt])
    await file.appendFile(head)
    return new SealedWriter(file, await keyOf(passphrase, salt, cost), head)
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#waiting = Buffer.concat([this.#waiting, bytes])
    while (this.#waiting.length > CHUNK_BYTES) {
      const chunk = this.#waiting.subarray(0, CHUNK_BYTES)
      this.#waiting = this.#waiting.subarray(CHUNK_BYTES)
      await this.#seal(chunk, 0)
    }
  }

  /** Writes the last chunk and waits for the disk. */
  async end(): Promise<void> {
    await this.#seal(this.#waiting, LAST)
    await this.#file.sync()
  }

  async #seal(chunk: Uint8Array, flag: number): Promise<void> {
    const length = lengthWord(chunk.length, flag)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonceOf(this.#chunk++))
    cipher.setAAD(Buffer.concat([this.#head, length]))
    const sealed = Buffer.concat([cipher.update(chunk), cipher.final()])
    await this.#file.appendFile(Buffer.concat([length, sealed, cipher.getAuthTag()]))
  }
}

/**
 * Gives the plaintext of a sealed file, a chunk at a time, each only after it has shown to be genuine.
 * @throws {TunnelError} BACKUP where the file is no backup, the passphrase is another, or anything was changed or cut off
 */
export async function* readSealed(
  file: FileHandle,
  passphrase: Secret<string>,
  cost: number = GUESS_COST,
): AsyncGenerator<Buffer> {
  const head = await take(file, MAGIC.length + SALT_BYTES)
  if (!head.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged('It does not begin as a backup does.')
  const key = await keyOf(passphrase, head.subarray(MAGIC.length), cost)
  for (let chunk = 0; ; chunk++) {
    const length = await take(file, 4)
    const word = length.readUInt32BE()
    const size = word % LAST
    if (size > CHUNK_BYTES) throw damaged(`Chunk ${chunk} is too long.`)
    const sealed = await take(file, size + TAG_BYTES)
    const cipher = createDecipheriv('aes-256-gcm', key, nonceOf(chunk), { authTagLength: TAG_BYTES })
    cipher.setAAD(Buffer.concat([head, length]))
    cipher.setAuthTag(sealed.subarray(size))
    const plain = cipher.update(sealed.subarray(0, size))
    try {
      cipher.final()
    } catch (cause) {
      const reason =
        chunk === 0 ? 'The passphrase is another, or it was changed.' : `Chunk ${chunk} was changed.`
      throw damaged(reason, cause)
    }
    yield plain
    if (word >= LAST) break
  }
  if ((await file.read(Buffer.alloc(1), 0, 1, null)).bytesRead > 0)
    throw damaged('Something follows its end.')
}

/** @throws {TunnelError} USAGE where it is too short */
export function checkPassphrase(passphrase: Secret<string>): void {
  if (passphrase.reveal().length >= PASSPHRASE_MIN) return
  throw new TunnelError('USAGE', `A passphrase has at least ${PASSPHRASE_MIN} characters.`)
}

/** Why a backup cannot be restored. */
export function damaged(detail: string, cause?: unknown): TunnelError {
  return new TunnelError('BACKUP', detail, { cause })
}

async function take(file: FileHandle, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(bytes, at, length - at, null)
    if (bytesRead === 0) throw damaged('It ends too early.')
    at += bytesRead
  }
  return bytes
}

function lengthWord(length: number, flag: number): Buffer {
  const word = Buffer.alloc(4)
  word.writeUInt32BE(length + flag)
  return word
}

/** Never twice under one key: each file has a key of its own, and its chunks are counted. */
function nonceOf(chunk: number): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeBigUInt64BE(BigInt(chunk), 4)
  return nonce
}

function keyOf(passphrase: Secret<string>, salt: Uint8Array, cost: number): Promise<Buffer> {
  const options = { N: cost, r: 8, p: 1, maxmem: 160 * 1024 * 1024 }
  return new Promise((resolve, reject) => {
    scrypt(passphrase.reveal().normalize('NFC'), salt, 32, options, (err, key) =>
      err ? reject(err) : resolve(key),
    )
  })
}
