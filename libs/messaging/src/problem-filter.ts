import { Catch, type RpcExceptionFilter } from '@nestjs/common';
import { type Observable, throwError } from 'rxjs';

/** Lets every error of a handler reach the transport as it is; the transport turns it into a problem. Nest's default would replace it. */
@Catch()
export class ProblemFilter implements RpcExceptionFilter {
  catch(error: unknown): Observable<never> {
    return throwError(() => error);
  }
}
