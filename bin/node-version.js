/** The oldest Node that Sallyport runs on, as `engines` in the published package has it. */
export const OLDEST_NODE = '24.17'

/** Whether a version such as `20.11.1` will do. */
export function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number)
  const [oldestMajor, oldestMinor] = OLDEST_NODE.split('.').map(Number)
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)
}
