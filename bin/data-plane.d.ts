/** Flags for V8 of every process that carries streams. */
export const DATA_PLANE_FLAGS: readonly string[]
