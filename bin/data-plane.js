// V8 collects dead network buffers with the young generation; a small one keeps them from piling up behind
// full collections. It is worth a multiple of the throughput on the hot path (docs/performance.md).
export const DATA_PLANE_FLAGS = ['--max-semi-space-size=1', '--min-semi-space-size=1']
