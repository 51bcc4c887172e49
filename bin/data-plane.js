// Many streams at once outgrow a young generation of 1 MiB, and what outgrows it costs full collections. One helping thread
// collects as fast as four where hardly anything is collected, and holds less memory (docs/performance.md).
export const DATA_PLANE_FLAGS = ['--max-semi-space-size=8', '--v8-pool-size=1']
