// Owns every document that this front-end sends.
import { graphql } from './gql/index.js';

export const JOIN = graphql(`
  mutation Join($input: MemberRegisterInput!) {
    memberRegister(input: $input) {
      member { id displayName }
      token
      expiresAt
      errors { code message field }
    }
  }
`);

export const SIGN_IN = graphql(`
  mutation SignIn($input: SignInInput!) {
    signIn(input: $input) {
      token
      expiresAt
      errors { code message field }
    }
  }
`);

export const ME = graphql(`
  query Me {
    viewer { id displayName email }
  }
`);

export const LIBRARY = graphql(`
  query Library($first: Int!, $after: String) {
    contents(first: $first, after: $after) {
      nodes { id slug title tags { slug name } }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

export const MY_LINKS = graphql(`
  query MyLinks {
    viewer {
      id
      referralLinks(first: 1) { nodes { id code } totalCount }
    }
  }
`);

export const ENROL = graphql(`
  mutation Enrol($program: String!) {
    promoterEnroll(program: $program) {
      member { id }
      errors { code message field }
    }
  }
`);

export const MAKE_LINK = graphql(`
  mutation MakeLink($input: ReferralLinkCreateInput!) {
    referralLinkCreate(input: $input) {
      referralLink { id code url }
      errors { code message field }
    }
  }
`);

export const IMPORT = graphql(`
  mutation Import($items: [ContentImportInput!]!, $dryRun: Boolean!) {
    contentsImport(items: $items, dryRun: $dryRun) {
      job { id }
      errors { code message field }
    }
  }
`);

export const JOB = graphql(`
  query Job($id: ID!) {
    node(id: $id) {
      ... on Job { id status done total problems }
    }
  }
`);
