/** Where tokens are given, under the prefix of the API. */
export const TOKEN_PATH = '/oauth/token'
