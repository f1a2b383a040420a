//! The macro itself: reads the arms one by one, and writes the list, the loop and the `match`.
//!
//! 1. Each arm is read up to its handler (`@arms`), then the handler (`@handler`). An arm's place in the list is a
//!    row of underscores, one for each arm before it.
//! 2. What is written evaluates the sources into a list, and asks for outcomes until one fits its pattern. Whether
//!    it does is asked in a guard that does not hold, so that nothing is moved.
//! 3. The list is dropped. Only then the outcome is taken apart, outside of any loop or closure: a handler's
//!    `break` is one of the caller's loop.

/// Waits for the first of several things to happen, and handles that one. See the [module](mod@crate::select).
///
/// ```
/// use smarm::channel::channel;
/// use smarm::select;
/// use std::time::Duration;
///
/// let (tx, rx) = channel::<u32>();
/// let timed_out = select! {
///     message = recv(&rx) => panic!("nobody has sent {message:?}"),
///     () = after(Duration::from_millis(1)) => true,
/// };
/// assert!(timed_out);
///
/// tx.send(1).unwrap();
/// let received = select! {
///     biased;
///     Ok(message) = recv(&rx) => Some(message),
///     default => None,
/// };
/// assert_eq!(received, Some(1));
/// ```
///
/// What is no arm is told so:
///
/// ```compile_fail
/// smarm::select! { recv(&rx) => 1 }
/// ```
/// ```compile_fail
/// smarm::select! { x = 5 => x }
/// ```
/// ```compile_fail
/// smarm::select! {}
/// ```
#[macro_export]
macro_rules! select {
    (biased; $($arms:tt)+) => { $crate::__select!(@arms (Biased) [] {} {} $($arms)+) };
    (biased $(;)?) => { ::core::compile_error!("select!: there is no arm after `biased;`") };
    () => { ::core::compile_error!("select!: there is no arm: `pattern = source => handler`") };
    ($($arms:tt)+) => { $crate::__select!(@arms (Fair) [] {} {} $($arms)+) };
}

/// The work of [`select!`](crate::select!).
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // 1. The head of an arm.
    (@arms $order:tt $place:tt $arms:tt {} default => $($rest:tt)+) => {
        $crate::__select!(@handler $order $place $arms {} {last Immediate} $($rest)+)
    };
    (@arms $order:tt $place:tt $arms:tt {} else => $($rest:tt)+) => {
        $crate::__select!(@handler $order $place $arms {} {last Awaited} $($rest)+)
    };
    (@arms $order:tt $place:tt $arms:tt $last:tt default => $($rest:tt)+) => {
        ::core::compile_error!("select!: there is one `default =>` or `else =>` at most")
    };
    (@arms $order:tt $place:tt $arms:tt $last:tt else => $($rest:tt)+) => {
        ::core::compile_error!("select!: there is one `default =>` or `else =>` at most")
    };
    (@arms $order:tt $place:tt $arms:tt $last:tt $pattern:pat = $source:expr, if $guard:expr => $($rest:tt)+) => {
        $crate::__select!(@handler $order $place $arms $last {arm ($pattern) ($source) ($guard)} $($rest)+)
    };
    (@arms $order:tt $place:tt $arms:tt $last:tt $pattern:pat = $source:expr => $($rest:tt)+) => {
        $crate::__select!(@handler $order $place $arms $last {arm ($pattern) ($source) ()} $($rest)+)
    };

    // 1. The handler of an arm.
    (@handler $order:tt $place:tt $arms:tt $last:tt $head:tt $handler:block, $($rest:tt)*) => {
        $crate::__select!(@push $order $place $arms $last $head ($handler) $($rest)*)
    };
    (@handler $order:tt $place:tt $arms:tt $last:tt $head:tt $handler:block $($rest:tt)*) => {
        $crate::__select!(@push $order $place $arms $last $head ($handler) $($rest)*)
    };
    (@handler $order:tt $place:tt $arms:tt $last:tt $head:tt $handler:expr, $($rest:tt)*) => {
        $crate::__select!(@push $order $place $arms $last $head ($handler) $($rest)*)
    };
    (@handler $order:tt $place:tt $arms:tt $last:tt $head:tt $handler:expr) => {
        $crate::__select!(@push $order $place $arms $last $head ($handler))
    };
    (@handler $order:tt $place:tt $arms:tt $last:tt $head:tt $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "select!: after `=>` comes a block, or an expression and a comma; found: ",
            ::core::stringify!($($rest)*)
        ))
    };
    (@push $order:tt $place:tt $arms:tt $last:tt {last $next:ident} ($handler:expr) $($rest:tt)*) => {
        $crate::__select!(@arms $order $place $arms {$next $handler} $($rest)*)
    };
    (@push $order:tt [$($place:tt)*] {$($arms:tt)*} $last:tt {arm $pattern:tt $source:tt $guard:tt} $handler:tt $($rest:tt)*) => {
        $crate::__select!(
            @arms $order [$($place)* _] {$($arms)* {[$($place)*] $pattern $source $guard $handler}} $last $($rest)*
        )
    };

    // 2. and 3.
    (@arms $order:tt [] {} $last:tt) => {
        ::core::compile_error!("select!: there is no arm that waits: `pattern = source => handler`")
    };
    (@arms $order:tt $place:tt $arms:tt {}) => {
        $crate::__select!(@write $order $arms {Awaited $crate::select::all_out()})
    };
    (@arms $order:tt $place:tt $arms:tt $last:tt) => { $crate::__select!(@write $order $arms $last) };
    (
        @write ($order:ident)
        {$({[$($place:tt)*] ($pattern:pat) ($source:expr) $guard:tt ($handler:expr)})+}
        {$next:ident $last:expr}
    ) => {{
        let outcome = {
            let mut arms = ::core::pin::pin!($crate::__select!(@list $(($source) $guard)+));
            loop {
                let Some(outcome) = $crate::select::next(
                    arms.as_mut(),
                    $crate::select::Order::$order,
                    $crate::select::Next::$next,
                ) else {
                    break None;
                };
                let mut fits = false;
                #[allow(unused_variables, unused_mut, clippy::redundant_pattern, clippy::match_single_binding)]
                match outcome {
                    $(
                        $crate::__select!(@pattern [$($place)*] $pattern) if {
                            fits = true;
                            false
                        } => ::core::unreachable!(),
                    )+
                    _ => {}
                }
                if fits {
                    break Some(outcome);
                }
                let index = $crate::select::Outcome::discard(outcome);
                $crate::select::Arms::put_out(arms.as_mut(), index);
            }
        };
        match outcome {
            $(Some($crate::__select!(@pattern [$($place)*] $pattern)) => $handler,)+
            None => $last,
            #[allow(unreachable_patterns)]
            _ => ::core::unreachable!(),
        }
    }};
    (@list) => { $crate::select::End::new() };
    (@list ($source:expr) $guard:tt $($rest:tt)*) => {
        $crate::select::Also::new(
            $crate::__select!(@guarded $guard {
                #[allow(unused_imports)]
                use $crate::select::hidden::*;
                let source = $crate::select::Probe::new($source);
                (&source).take_source()
            }),
            $crate::__select!(@list $($rest)*),
        )
    };
    (@guarded () $source:expr) => { Some($source) };
    (@guarded ($guard:expr) $source:expr) => { if $guard { Some($source) } else { None } };
    (@pattern [] $pattern:pat) => { $crate::select::Either::This($pattern) };
    (@pattern [_ $($place:tt)*] $pattern:pat) => {
        $crate::select::Either::Rest($crate::__select!(@pattern [$($place)*] $pattern))
    };

    (@arms $order:tt $place:tt $arms:tt $last:tt $($rest:tt)+) => {
        ::core::compile_error!(::core::concat!(
            "select!: an arm is `pattern = source => handler`, `pattern = source, if condition => handler`, \
             `default => handler` or `else => handler`; found: ",
            ::core::stringify!($($rest)+)
        ))
    };
}
